"""Sealing: what people wrote is unreadable without the master key, and for ever once their own key is gone.

    master key (a file beside the database, or BOTKIT_KEY)
      wraps one key for each person (table person_keys)
        seals that person's texts, and the answers to them

AES-256-GCM throughout.  The place of a value (table, column, row) is authenticated with it, so a sealed value
that is moved elsewhere does not open.  Forgetting somebody is deleting their wrapped key.

Layout of a sealed value: version (1 byte), key id (8), nonce (12), ciphertext with tag.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from botkit.errors import ConfigError, StoreError

KEY_FILE = "secret.key"
KEY_VARIABLE = "BOTKIT_KEY"

_VERSION = 1
_KEY_BYTES = 32
_NONCE_BYTES = 12
_HEADER_BYTES = 1 + 8
_MAX_CACHED_KEYS = 10_000

Place = tuple[str | int, ...]
"""Where a sealed value stands: table, column, and whatever names the row for ever."""


class KeyGoneError(Exception):
    """A value was sealed with a key that no longer exists: its person has been forgotten."""


class PersonKey:
    """One person's key, by its id in the table.  Cheap to keep; nothing to close."""

    def __init__(self, key_id: int, key: bytes) -> None:
        """Use the 32 bytes of *key*."""
        self.id = key_id
        self._cipher = AESGCM(key)

    def seal(self, text: str, place: Place) -> bytes:
        """Return *text*, whatever its characters, sealed for *place*."""
        # Lone surrogates come in from broken clients; what they sent is what is kept.
        return _encrypt(self._cipher, self.id, text.encode("utf-8", "surrogatepass"), place)

    def open(self, sealed: bytes, place: Place) -> str:
        """Return the text of *sealed*.

        Raises KeyGoneError when another, deleted key sealed it, and StoreError when it was changed, or
        sealed for another place.
        """
        if _key_id(sealed) != self.id:
            raise KeyGoneError
        try:
            return _decrypt(self._cipher, sealed, place).decode("utf-8", "surrogatepass")
        except InvalidTag:
            raise StoreError(
                f"a sealed value of table '{place[0]}' was changed or moved since it was written",
                hint="restore a copy made by 'botkit db backup'",
            ) from None


class Sealer:
    """Holds the master keys: the first wraps new keys, all of them unwrap."""

    def __init__(self, keys: Sequence[bytes], source: str) -> None:
        """Use *keys*, of 32 bytes each; *source* names where they come from in messages."""
        self._masters = {_fingerprint(key): AESGCM(key) for key in keys}
        self._first = _fingerprint(keys[0])
        self._source = source
        self._opened: dict[bytes, PersonKey] = {}

    @classmethod
    def open(cls, data_dir: Path, environment: Mapping[str, str] = os.environ) -> Sealer:
        """Take the key from BOTKIT_KEY, else from ``secret.key`` in *data_dir*, which is made on first use.

        Either holds one key or several, separated by blanks, the newest first.  Raises ConfigError for a
        malformed key and StoreError for a file that cannot be read or made.
        """
        if given := environment.get(KEY_VARIABLE, "").strip():
            return cls(_parse(given, KEY_VARIABLE), KEY_VARIABLE)
        path = data_dir / KEY_FILE
        try:
            if not path.exists():
                _create(path)
            return cls(_parse(path.read_text("ascii", "replace"), str(path)), str(path))
        except OSError as error:
            raise StoreError(
                f"the key file {path} cannot be used: {error.strerror or error}",
                hint="check its rights, and those of its folder",
            ) from error

    def new_key(self, ref: str) -> bytes:
        """Return a fresh wrapped key for the person *ref* (``platform:account``)."""
        key = AESGCM.generate_key(bit_length=8 * _KEY_BYTES)
        return _encrypt(self._masters[self._first], self._first, key, ("person_keys", "wrapped", ref))

    def person_key(self, key_id: int, wrapped: bytes, ref: str) -> PersonKey:
        """Unwrap the key of the person *ref*; raises StoreError when our master key is not the one."""
        # Looked up by the wrapped bytes themselves: a key that was deleted and made anew is another entry.
        if known := self._opened.get(wrapped):
            return known
        master = self._masters.get(_key_id(wrapped))
        if master is None:
            raise StoreError(
                f"the database was sealed with another key than the one in {self._source}",
                hint=f"bring the right {KEY_FILE} or {KEY_VARIABLE} back; without it the text cannot be read",
            )
        try:
            key = _decrypt(master, wrapped, ("person_keys", "wrapped", ref))
        except InvalidTag:
            raise StoreError(
                "a key in table 'person_keys' was changed or moved since it was written",
                hint="restore a copy made by 'botkit db backup'",
            ) from None
        if len(self._opened) >= _MAX_CACHED_KEYS:
            self._opened.clear()
        self._opened[wrapped] = PersonKey(key_id, key)
        return self._opened[wrapped]


def _encrypt(cipher: AESGCM, key_id: int, plain: bytes, place: Place) -> bytes:
    header = bytes([_VERSION]) + key_id.to_bytes(8, "big")
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return header + nonce + cipher.encrypt(nonce, plain, header + _place_bytes(place))


def _decrypt(cipher: AESGCM, sealed: bytes, place: Place) -> bytes:
    header, rest = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES:]
    nonce, ciphertext = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
    if len(nonce) < _NONCE_BYTES:
        raise InvalidTag
    return cipher.decrypt(nonce, ciphertext, header + _place_bytes(place))


def _place_bytes(place: Place) -> bytes:
    # JSON keeps ("a", "bc") and ("ab", "c") apart, and its escapes keep any character harmless.
    return json.dumps(place).encode("ascii")


def _key_id(sealed: bytes) -> int:
    if len(sealed) < _HEADER_BYTES or sealed[0] != _VERSION:
        raise StoreError(
            "a sealed value has a form that this botkit does not know",
            hint="upgrade botkit, or restore a copy made by 'botkit db backup'",
        )
    return int.from_bytes(sealed[1:_HEADER_BYTES], "big")


def _fingerprint(key: bytes) -> int:
    return int.from_bytes(hashlib.sha256(b"botkit master key" + key).digest()[:8], "big")


def _parse(text: str, source: str) -> list[bytes]:
    keys = []
    for word in text.split():
        try:
            key = base64.b64decode(word, validate=True)
        except ValueError:
            key = b""
        if len(key) != _KEY_BYTES:
            raise ConfigError(
                f"{source} holds something that is no key", hint=f"a key is {_KEY_BYTES} bytes in base64"
            )
        keys.append(key)
    if not keys:
        raise ConfigError(f"{source} is empty", hint="restore it; without it the stored text cannot be read")
    return keys


def _create(path: Path) -> None:
    """Make the key file, whole or not at all; where another process was quicker, its file stays."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(_KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, never replaces a file that is there.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(part)
    finally:
        part.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
