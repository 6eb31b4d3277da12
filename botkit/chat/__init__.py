"""The core of a conversation: from a message that came in to an answer that stays.

Here live the order within a conversation, the fair queue, the prompt, the reply on a platform and the
walk that joins them.  No platform, no model and no database is known here by name: they are handed in.
"""
