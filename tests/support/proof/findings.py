"""Which findings still refuse a run once some rules are accepted."""

from collections.abc import Collection, Iterable

from steps.support.sql.findings import Finding, Severity


def refusing(findings: Iterable[Finding], allowed: Collection[str]) -> list[Finding]:
    """Return the findings that are still errors if these rules are accepted wherever they found something."""
    open_to = [each for each in findings if each.severity is Severity.ERROR]
    return [each for each in open_to if not each.rule or each.rule not in allowed]
