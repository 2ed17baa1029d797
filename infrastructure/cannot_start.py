"""Why a process of ours does not start: an operator reads the message and knows what to do.

CannotStart
├── EmbeddedFailed      infrastructure/embedded_place.py
├── MigrationRefused    infrastructure/migrations
├── NotMigrated, WrongLedger, TooPrivileged, NotDurable, ClockAhead
│                        infrastructure/start_checks.py
├── SecretMismatch      infrastructure/secret.py
├── TopicRefused        infrastructure/kafka/topics.py
├── MirrorRefused       infrastructure/kafka/mirror.py
├── SettingsError       infrastructure/settings.py
└── CannotRun           api/cli/output.py
"""

from typing import Final


class CannotStart(Exception):
    """The message says what is wrong and what to do; it never holds a secret."""


TRY_AGAIN: Final = 75
"""Exit code of a process that ends to be started afresh: EX_TEMPFAIL of sysexits.h."""
