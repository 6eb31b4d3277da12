"""What tests lean on, ours and plugin authors': a clock, scripted parts, contracts to inherit."""
