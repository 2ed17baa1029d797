"""Why a process of ours does not start: an operator reads the message and knows what to do.

CannotStart
├── EmbeddedFailed      infrastructure/embedded.py
├── MigrationRefused    infrastructure/migrations
├── NotMigrated, WrongLedger, NotDurable    infrastructure/start_checks.py
├── SecretMismatch      infrastructure/secret.py
└── SettingsError       infrastructure/settings.py
"""


class CannotStart(Exception):
    """The message says what is wrong and what to do; it never holds a secret."""
