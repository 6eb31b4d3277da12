"""What goes wrong on the platform, by order."""

from __future__ import annotations

from botkit.testing.telegram.account import Account
from botkit.testing.telegram.faults import Fault, Gate
from botkit.testing.telegram.platform import Platform
from botkit.testing.telegram.updates import UpdateQueue
from botkit.testing.telegram.world import Chat, Json, Message, Topic, User, Version

NO_MESSAGE: Json = {"message": {"message_id": "none", "date": "never", "chat": 5}}
NO_KIND: Json = {"brand_new_thing": {"from": {"id": 1, "is_bot": False, "first_name": "Ann"}, "value": 7}}


class Trouble(Platform):
    """Faults of calls, of updates and of chats.  Where a *bot* can be named, the first one is meant."""

    def fail(
        self,
        method: str,
        *,
        status: int = 500,
        retry_after: int | None = None,
        times: int = 1,
        skip: int = 0,
        after_effect: bool = False,
        cut: bool = False,
        description: str = "",
        body: str | None = None,
        delay_s: float = 0.0,
        chat: Chat | None = None,
    ) -> Fault:
        """Let calls of *method* (``*`` for any) fail; see ``faults.Fault`` for what the words mean."""
        chat_id = chat.id if chat is not None else None
        rest = (retry_after, times, skip, after_effect, cut, description, body, delay_s, chat_id)
        fault = Fault(method, status, *rest)
        self._server.faults.coming.append(fault)
        return fault

    def slow(self, method: str, seconds: float, *, times: int = 1, after_effect: bool = False) -> Fault:
        """Let calls of *method* go well, but *seconds* late: before or after they have their effect."""
        return self.fail(method, status=200, delay_s=seconds, times=times, after_effect=after_effect)

    def hold(self, method: str, *, after_effect: bool = False) -> Gate:
        """Hold the calls of *method*, before or after they have their effect, until the gate is opened."""
        gate = Gate(method, after_effect=after_effect)
        self._server.gates.append(gate)
        return gate

    def duplicate_next(self, n: int = 1, *, bot: Account | None = None) -> None:
        """Hand out each of the next *n* updates twice, with one id, in one batch."""
        self._updates(bot).twice(n)

    def deliver_again(self, n: int = 1, *, bot: Account | None = None) -> None:
        """Hand out the last *n* updates once more, though they are confirmed."""
        self._updates(bot).again(n)

    def swap_next(self, *, bot: Account | None = None) -> None:
        """Hand out the next two updates in the wrong order; the first waits for the second."""
        self._updates(bot).swap()

    def poison(self, content: Json | None = None, *, bot: Account | None = None) -> int:
        """Hand out an update that no library can read, or *content* as it is; return its id."""
        return self._updates(bot).put_raw(NO_MESSAGE if content is None else content)

    def unknown_update(self, *, bot: Account | None = None) -> int:
        """Hand out an update of a kind that is newer than any library; return its id."""
        return self._updates(bot).put_raw(NO_KIND)

    def jump_update_ids(self, n: int, *, bot: Account | None = None) -> None:
        """Let the next update's id be *n* higher than it would be, or lower, as after a quiet week."""
        self._updates(bot).skip_ids(n)

    def block(self, chat: Chat, bot: Account | None = None) -> None:
        """Block the bot in a private chat, or kick it out of a group: its calls there are forbidden."""
        account = bot or self._first_bot()
        chat.refused_bots.add(account.user.id)
        self._tell_membership(account, chat, "member", "kicked")

    def unblock(self, chat: Chat, bot: Account | None = None) -> None:
        """Let the bot in again."""
        account = bot or self._first_bot()
        chat.refused_bots.discard(account.user.id)
        self._tell_membership(account, chat, "kicked", "member")

    def migrate(self, chat: Chat) -> Chat:
        """Make a supergroup of a group; return it.  The old id is refused from now on, naming the new one."""
        moved = self._world.new_group(chat.title, is_super=True, is_forum=False)
        moved.admins, moved.refused_bots = set(chat.admins), set(chat.refused_bots)
        owner = self._world.new_user("Owner")
        for where, service in (
            (chat, {"migrate_to_chat_id": moved.id}),
            (moved, {"migrate_from_chat_id": chat.id}),
        ):
            self._announce(where, owner, service)
        chat.moved_to = moved
        return moved

    def close_topic(self, chat: Chat, topic: Topic) -> None:
        """Close a topic: nothing can be sent into it."""
        topic.closed = True
        self._announce(chat, self._world.new_user("Owner"), {"forum_topic_closed": {}}, topic)

    def delete_topic(self, chat: Chat, topic: Topic) -> None:
        """Delete a topic with all that was said in it; no bot is told."""
        del chat.topics[topic.id]
        for message in chat.messages.values():
            message.deleted = message.deleted or message.topic == topic.id
        self._bell.ring()

    def _announce(self, chat: Chat, user: User, service: Json, topic: Topic | None = None) -> Message:
        thread = topic.id if topic is not None else None
        message = self._world.new_message(chat, user, Version(""), service=service, topic=thread)
        self._tell(chat, "message", message)
        return message

    def _tell_membership(self, bot: Account, chat: Chat, before: str, after: str) -> None:
        until = {"kicked": {"until_date": 0}}
        user = bot.user.to_api()
        content = {
            "chat": chat.to_api(),
            "from": (chat.person or self._world.new_user("Owner")).to_api(),
            "date": int(self.clock.now().timestamp()),
            "old_chat_member": {"status": before, "user": user, **until.get(before, {})},
            "new_chat_member": {"status": after, "user": user, **until.get(after, {})},
        }
        bot.updates.put("my_chat_member", content)

    def _updates(self, bot: Account | None) -> UpdateQueue:
        return (bot or self._first_bot()).updates
