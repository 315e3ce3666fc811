"""Notes over HTTP: a blueprint, which imports the proxy before the application has filled it."""

from __future__ import annotations

from typing import Any

from database import db
from flask import Blueprint, abort, request

notes = Blueprint("notes", __name__, url_prefix="/notes")


@notes.post("")
def write() -> tuple[dict[str, Any], int]:
    """Keep a note: `{"text": "…"}`."""
    body = request.get_json()
    text = body.get("text") if isinstance(body, dict) else None
    if not isinstance(text, str) or not text:
        abort(400, "a note needs a text")
    number = db.execute("INSERT INTO notes (text) VALUES (?)", (text,)).lastrowid
    return {"id": number, "text": text}, 201


@notes.get("/<int:number>")
def read(number: int) -> dict[str, Any]:
    """Show one note."""
    row = db.execute("SELECT id, text FROM notes WHERE id = ?", (number,)).fetchone()
    if row is None:
        abort(404)
    return dict(row)


@notes.get("")
def several() -> dict[str, Any]:
    """Show the notes after an id, oldest first: `?after=0&limit=100`."""
    after = request.args.get("after", 0, type=int)
    limit = min(max(request.args.get("limit", 100, type=int), 1), 500)
    rows = db.execute("SELECT id, text FROM notes WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
    return {"notes": [dict(row) for row in rows]}


@notes.delete("/<int:number>")
def remove(number: int) -> tuple[str, int]:
    """Forget one note."""
    if db.execute("DELETE FROM notes WHERE id = ?", (number,)).rowcount == 0:
        abort(404)
    return "", 204
