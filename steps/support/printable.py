"""Foreign text made harmless on a terminal, and in anything that is read line by line."""


def printable(text: str) -> str:
    """Write whatever is no plain character as its escape: control characters, line breaks, changes of direction."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def printable_lines(text: str) -> str:
    """Do the same, but leave the line breaks."""
    return "\n".join(map(printable, text.split("\n")))
