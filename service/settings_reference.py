"""The reference of every setting, made from the settings themselves.

``python -m service.settings_reference`` prints it; ``docs/reference/settings.md`` is a copy, and a
test fails when the two differ.
"""

import sys
from typing import Final

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from service.settings import Settings

_HEAD: Final = """\
# Settings

Made from the code by `make docs`; do not edit. Each is an environment variable. A service under
systemd takes them from its unit's `EnvironmentFile`; what is secret is better named as a file.

| variable | default | meaning |
|---|---|---|
"""


def settings_reference() -> str:
    """The reference as Markdown: a row a setting, in their order."""
    return _HEAD + "".join(_row(name, field) for name, field in Settings.model_fields.items())


def _row(name: str, field: FieldInfo) -> str:
    meaning = (field.description or "").replace("|", "\\|")
    return f"| `READMIT_{name.upper()}` | {_default(field)} | {meaning} |\n"


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if default is None or default == () or isinstance(default, SecretStr):
        # A secret's default would be printed here, so that it must have none.
        return ""
    if isinstance(default, bool):
        return "`true`" if default else "`false`"
    return f"`{default}`"


if __name__ == "__main__":
    sys.stdout.write(settings_reference())
