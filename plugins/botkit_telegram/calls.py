"""The calls that bring an answer to its chat, with what Telegram refuses for a reason that can be mended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from telegram import LinkPreviewOptions, Message, ReplyParameters
from telegram.constants import ChatAction

from botkit_telegram.client import Client
from botkit_telegram.failures import (
    MISBEHAVIOUR,
    is_gone,
    is_marked_wrongly,
    is_unchanged,
    is_without_origin,
    is_without_thread,
)
from botkit_telegram.keyboard import NO_BUTTONS, Buttons, keyboard
from botkit_telegram.markdown import Rendered
from botkit_telegram.spot import Spot

log = structlog.get_logger(__name__)

_NO_PREVIEW = LinkPreviewOptions(is_disabled=True)


class Calls:
    """Sends and edits for one client, in the words of answers.  Calls raise PlatformError."""

    def __init__(self, client: Client) -> None:
        """Call through *client*, which whoever made it closes."""
        self._client = client

    async def send(self, spot: Spot, shown: Rendered, buttons: Buttons) -> int:
        """Send a new message as a reply to the one at *spot*, in its topic; return its id.

        Where the topic, the message replied to or the marks are what Telegram refuses, it goes without them.
        """
        thread_id, has_origin = spot.thread_id, True
        while True:
            try:
                return await self._send(spot, shown, buttons, thread_id, has_origin)
            except MISBEHAVIOUR as error:
                if is_without_thread(error) and thread_id is not None:
                    thread_id = None
                elif is_without_origin(error) and has_origin:
                    has_origin = False
                elif is_marked_wrongly(error) and shown.entities:
                    shown = Rendered(shown.text)
                else:
                    raise self._client.translated(error, "sendMessage") from None

    async def edit(self, spot: Spot, shown: Rendered, buttons: Buttons, *, essential: bool) -> bool:
        """Let the message at *spot* say what is *shown*; False if that message is not there any more.

        An edit that is not essential is left out where the budgets are short.
        """
        make = self._client.call if essential else self._client.call_if_spare
        while True:

            async def edited(chat_id: int, shown: Rendered = shown) -> object:
                return await self._client.bot.edit_message_text(
                    shown.text,
                    chat_id=chat_id,
                    message_id=spot.message_id,
                    entities=shown.entities or None,
                    link_preview_options=_NO_PREVIEW,
                    reply_markup=keyboard(buttons),
                )

            try:
                await make("editMessageText", spot.chat_id, edited)
            except MISBEHAVIOUR as error:
                if is_unchanged(error):
                    return True
                if is_gone(error):
                    return False
                if not (is_marked_wrongly(error) and shown.entities):
                    raise self._client.translated(error, "editMessageText") from None
                shown = Rendered(shown.text)
            else:
                return True

    async def take_buttons(self, spot: Spot) -> None:
        """Take the buttons of the message at *spot* away, if that can be had; never raises for it."""

        async def bare(chat_id: int) -> object:
            return await self._client.bot.edit_message_reply_markup(
                chat_id=chat_id, message_id=spot.message_id, reply_markup=NO_BUTTONS
            )

        try:
            await self._client.call_if_spare("editMessageReplyMarkup", spot.chat_id, bare)
        except MISBEHAVIOUR as error:
            line = self._client.translated(error, "editMessageReplyMarkup").line()
            log.debug("buttons_not_taken", error=line)

    async def typing(self, spot: Spot) -> None:
        """Show the sign that somebody is typing; it lasts five seconds."""
        if self._client.budget.is_paused(spot.chat_id):
            return
        with self._translating("sendChatAction"):
            await self._client.act(spot.chat_id, spot.thread_id, ChatAction.TYPING)

    async def answer_press(self, press: str, text: str) -> None:
        """Tell whoever pressed a button what came of it."""
        with self._translating("answerCallbackQuery"):
            await self._client.bot.answer_callback_query(press, text)

    async def _send(
        self, spot: Spot, shown: Rendered, buttons: Buttons, thread_id: int | None, has_origin: bool
    ) -> int:
        origin = ReplyParameters(spot.message_id, allow_sending_without_reply=True) if has_origin else None

        async def sent(chat_id: int) -> Message:
            return await self._client.bot.send_message(
                chat_id,
                shown.text,
                entities=shown.entities or None,
                message_thread_id=thread_id,
                reply_parameters=origin,
                link_preview_options=_NO_PREVIEW,
                reply_markup=None if buttons == "none" else keyboard(buttons),
            )

        return (await self._client.call("sendMessage", spot.chat_id, sent)).message_id

    @contextmanager
    def _translating(self, action: str) -> Iterator[None]:
        try:
            yield
        except MISBEHAVIOUR as error:
            raise self._client.translated(error, action) from None
