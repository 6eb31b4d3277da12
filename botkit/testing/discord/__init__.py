"""A fake Discord: REST API and Gateway over real sockets, for unmodified client libraries.

async with FakeDiscord() as discord:
bot = discord.add_bot("token")
channel = discord.channel(discord.guild("town"), "general")
...  # point the client at discord.api_base and discord.gateway_url, and let it log in
await discord.say(channel, discord.user("ada"), f"{bot.mention} hello")
await discord.wait_for(lambda: discord.messages(channel)[-1].from_bot)
"""

from botkit.testing.discord.fake import FakeDiscord
from botkit.testing.discord.limits import NO_LIMITS, RateLimits
from botkit.testing.discord.world import Bot, Channel, Guild, Posted, User

__all__ = ["NO_LIMITS", "Bot", "Channel", "FakeDiscord", "Guild", "Posted", "RateLimits", "User"]
