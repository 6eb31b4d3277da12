"""The few drawings that the page needs, as SVG in the colour of the text around them."""

from __future__ import annotations

_STROKE = (
    'fill="none" stroke="currentColor" stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round"'
)


def _icon(shapes: str) -> str:
    return f'<svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true" {_STROKE}>{shapes}</svg>'


MENU = _icon('<path d="M4 7h16M4 12h10M4 17h16"/>')
NEW = _icon('<path d="M12 5v14M5 12h14"/>')
SEND = _icon('<path d="M12 19V5M6 11l6-6 6 6"/>')
STOP = _icon('<rect x="7" y="7" width="10" height="10" rx="1.6" fill="currentColor"/>')
AGAIN = _icon('<path d="M19.5 12a7.5 7.5 0 1 1-2.3-5.4M19.5 3.8v3.7h-3.7"/>')
COPY = _icon('<rect x="9" y="9" width="11" height="11" rx="2.4"/><path d="M5 15V6.4C5 5.1 5.6 4 7 4h8"/>')
DOWN = _icon('<path d="M12 5v14M6 13l6 6 6-6"/>')
AUTO = _icon('<circle cx="12" cy="12" r="7.5"/><path d="M12 4.5a7.5 7.5 0 0 1 0 15z" fill="currentColor"/>')
LIGHT = _icon(
    '<circle cx="12" cy="12" r="3.8"/>'
    '<path d="M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6 7 7M17 17l1.4 1.4M5.6 18.4 7 17M17 7l1.4-1.4"/>'
)
DARK = _icon('<path d="M19.5 14.2A7.8 7.8 0 0 1 9.8 4.5a7.8 7.8 0 1 0 9.7 9.7z"/>')

TAB = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="9" '
    'fill="#a4532f"/><path d="M9 11.5h14M9 16h9M9 20.5h12" stroke="#faf8f4" stroke-width="2.4" '
    'stroke-linecap="round"/></svg>'
)
"""The page's own icon, in a browser's tab."""
