"""Who may come in, and who is who: the API key, and signed cookies of the page.

A browser is told from another by a random id in a signed cookie; that it has shown the key is a second one,
which a new key makes worthless.  The secret that signs lies in the data folder.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

from itsdangerous import BadSignature, Signer
from starlette.types import Scope

from botkit.errors import EnvironmentFailure

SECRET_FILE = "web.key"  # noqa: S105 - its name
COOKIE_AGE_S = 400 * 24 * 3600
PASS = "pass"  # noqa: S105 - what is signed, not a secret


class ApiKey:
    """The key that callers must show, if any."""

    def __init__(self, key: str) -> None:
        """Keep *key*; "" lets everybody in."""
        self._key = key.encode()

    def __bool__(self) -> bool:
        return bool(self._key)

    def opens(self, given: str) -> bool:
        """Tell whether *given* is the key, in a time that does not depend on where they differ."""
        return not self._key or hmac.compare_digest(given.encode("utf-8", "replace"), self._key)

    def fingerprint(self) -> bytes:
        """Return what changes when the key does."""
        return hashlib.sha256(self._key).digest()


class Cookies:
    """The page's cookies: written and read again, and nobody else's believed."""

    def __init__(self, secret: bytes, key: ApiKey) -> None:
        """Sign with *secret*."""
        # Cookies know no ports: the name keeps two bots on one machine apart.
        name = hashlib.sha256(secret).hexdigest()[:8]
        self.person_name, self.pass_name = f"botkit_person_{name}", f"botkit_pass_{name}"
        self._person = Signer(secret, salt=b"person", digest_method=hashlib.sha256)
        self._pass = Signer(secret, salt=b"pass" + key.fingerprint(), digest_method=hashlib.sha256)

    def person(self, header: str) -> str | None:
        """Return the browser's id from the header ``Cookie``, or None if it has none of ours."""
        return _unsigned(self._person, _cookie(header, self.person_name))

    def new_person(self) -> str:
        """Return an id that nobody has."""
        return secrets.token_hex(16)

    def has_pass(self, header: str) -> bool:
        """Tell whether the browser has shown the key that holds now."""
        return _unsigned(self._pass, _cookie(header, self.pass_name)) == PASS

    def person_cookie(self, person: str, *, secure: bool) -> str:
        """Return the header ``Set-Cookie`` by which a browser remembers its id."""
        return _set_cookie(self.person_name, self._person.sign(person).decode(), secure)

    def pass_cookie(self, *, secure: bool) -> str:
        """Return the header ``Set-Cookie`` by which a browser remembers that it has shown the key."""
        return _set_cookie(self.pass_name, self._pass.sign(PASS).decode(), secure)


def open_secret(data_dir: Path) -> bytes:
    """Return the secret of this data folder, made at the first call; raises EnvironmentFailure."""
    path = data_dir / SECRET_FILE
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            # Written aside, so that no crash leaves half a secret.
            aside = path.with_name(f"{SECRET_FILE}.{secrets.token_hex(4)}")
            aside.touch(mode=0o600, exist_ok=False)
            aside.write_text(secrets.token_hex(32))
            aside.replace(path)
        return path.read_bytes()
    except OSError as error:
        raise EnvironmentFailure(f"{path} cannot be used: {error.strerror or error}") from None


def _cookie(header: str, name: str) -> str:
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def _unsigned(signer: Signer, value: str) -> str | None:
    try:
        return signer.unsign(value).decode("ascii")
    except (BadSignature, UnicodeError):
        return None


def _set_cookie(name: str, value: str, secure: bool) -> str:
    cookie = f"{name}={value}; Path=/; Max-Age={COOKIE_AGE_S}; HttpOnly; SameSite=Lax"
    return f"{cookie}; Secure" if secure else cookie


def is_secure(scope: Scope) -> bool:
    """Tell whether a request came over TLS."""
    return bool(scope.get("scheme") in ("https", "wss"))
