"""A file that holds the change and its rollback, one below the other, as goose, dbmate and others keep them.

Those tools run only one of the two sections. Run as one script, the second section would undo the first.
"""

import re
from collections.abc import Iterator

from steps.support.sql.findings import MIGRATE, ROLLBACK, Finding, place
from steps.support.sql.script import Script

_DOWN = re.compile(
    r"-{2,}\s*(?:\+\s*\w+\s+|\w+:|!|//\s*)?@?(?:downs?|undo)(?:\s+\w+:\w+)*\W*"  # -- +goose Down, -- migrate:down
    r"|-{2,}\s*create above / drop below\W*",  # tern
    re.IGNORECASE,
)
_REMEDIES = {
    MIGRATE: f"Move what follows this line to {ROLLBACK}.",
    ROLLBACK: "Remove what precedes this line.",
}


def sections(script: Script) -> Iterator[Finding]:
    """Return a finding for a line that begins the rollback in a file that holds the change as well."""
    for comment in script.comments:
        begun = [piece.start > comment.start for piece in script.pieces]
        if comment.alone and {*begun} == {False, True} and _DOWN.fullmatch(comment.text.rstrip()):
            cause = f"`{comment.text.strip()}` begins another section of the file, and both would run"
            yield Finding(place(script.name, comment.line), cause, _REMEDIES[script.name])
            return
