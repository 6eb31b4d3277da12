"""From the body of a call to a message: what Discord checks, and who is called by it."""

from __future__ import annotations

import re
from typing import Any

from botkit.testing.discord.calls import Call
from botkit.testing.discord.refusal import Refusal, invalid_form
from botkit.testing.discord.world import Attachment, Channel, Json, Posted, User, World

MAX_UNITS = 2000
MAX_NONCE_CHARACTERS = 25
REPLY = 19


def checked_text(body: Json, *, has_more: bool = False) -> str:
    """Return the content of *body*; raises Refusal if there is too much, or none and no *has_more*."""
    text = body.get("content") or ""
    if not isinstance(text, str):
        raise invalid_form("content", "BASE_TYPE_BAD_STRING", "Could not interpret as a string.")
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    if units > MAX_UNITS:
        raise invalid_form("content", "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_UNITS} or fewer in length.")
    if not text.strip() and not has_more:
        raise Refusal(400, 50006, "Cannot send an empty message")
    return text.strip()  # Discord cuts white space off at both ends


def checked_nonce(body: Json) -> str | None:
    """Return the nonce of *body*, which is short."""
    nonce = body.get("nonce")
    if nonce is None:
        return None
    if len(str(nonce)) > MAX_NONCE_CHARACTERS:
        raise invalid_form("nonce", "NONCE_TYPE_TOO_LONG", "Nonce must be 25 characters or fewer.")
    return str(nonce)


def checked_reference(body: Json, channel: Channel) -> int | None:
    """Return the id of the message that is answered; raises Refusal if there is none any more."""
    reference: Json | None = body.get("message_reference")
    if not reference or not reference.get("message_id"):
        return None
    number = int(reference["message_id"])
    if number in channel.posted:
        return number
    if reference.get("fail_if_not_exists", True):
        raise invalid_form("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
    return None


def drafted(world: World, channel: Channel, author: User, call: Call) -> Posted:
    """Return the message that *call* asks for, checked but not posted."""
    body = call.body
    has_more = bool(call.files or body.get("embeds") or body.get("components") or body.get("sticker_ids"))
    text = checked_text(body, has_more=has_more)
    nonce, reply_to = checked_nonce(body), checked_reference(body, channel)
    message = Posted(
        world.new_id(),
        channel,
        author,
        text,
        world.clock.now(),
        kind=REPLY if reply_to else 0,
        reply_to=reply_to,
        nonce=nonce,
        components=body.get("components") or [],
        embeds=body.get("embeds") or [],
        attachments=attached(world, call.files),
        allowed_mentions=body.get("allowed_mentions"),
        flags=int(body.get("flags") or 0),
    )
    find_mentions(world, message)
    return message


def attached(world: World, files: list[tuple[str, bytes, str]]) -> list[Attachment]:
    """Return *files* (name, content, type) as attachments."""
    return [Attachment(world.new_id(), name, content, kind) for name, content, kind in files]


def changed(world: World, message: Posted, call: Call) -> None:
    """Change *message* as *call* asks; what its body does not name stays."""
    body = call.body
    if "content" in body:
        has_more = bool(message.embeds or message.attachments or message.components or call.files)
        message.text = checked_text(body, has_more=has_more)
    if "components" in body:
        message.components = body["components"] or []
    if "embeds" in body:
        message.embeds = body["embeds"] or []
    if "attachments" in body:
        kept = {str(one.get("id")) for one in body["attachments"] or []}
        message.attachments = [one for one in message.attachments if str(one.id) in kept]
    message.attachments += attached(world, call.files)
    if "allowed_mentions" in body:
        message.allowed_mentions = body["allowed_mentions"]
    find_mentions(world, message)


def find_mentions(world: World, message: Posted) -> None:
    """Note whom *message* calls: by name, by role, by answering, as far as it allows that itself."""
    allowed = message.allowed_mentions
    guild = message.channel.guild
    users = [int(one) for one in re.findall(r"<@!?(\d+)>", message.text)]
    roles = [int(one) for one in re.findall(r"<@&(\d+)>", message.text)]
    message.pinged = [world.users[one] for one in dict.fromkeys(users) if one in world.users]
    message.pinged = [one for one in message.pinged if _allows(allowed, "users", one.id)]
    known = set(guild.bot_roles.values()) if guild else set()
    message.pinged_roles = [one for one in roles if one in known and _allows(allowed, "roles", one)]
    answered = message.channel.posted.get(message.reply_to or 0)
    calls_answered = allowed.get("replied_user", False) if allowed is not None else True
    if answered and calls_answered and answered.author not in message.pinged:
        message.pinged.append(answered.author)
    calls_all = bool(re.search(r"@(everyone|here)\b", message.text))
    message.pings_everyone = calls_all and guild is not None and _allows(allowed, "everyone", 0)


def _allows(allowed: dict[str, Any] | None, kind: str, number: int) -> bool:
    if allowed is None:
        return True
    return kind in allowed.get("parse", ()) or str(number) in map(str, allowed.get(kind) or ())
