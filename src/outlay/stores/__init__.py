"""Where events and contents are kept: in memory or in one SQLite file, behind one interface (`protocols.store`)."""

from outlay.stores.memory import MemoryStore
from outlay.stores.opening import open_store, store_at

__all__ = ["MemoryStore", "open_store", "store_at"]
