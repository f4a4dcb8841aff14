"""People: what networks read of them, and who reads it."""

from mcld.person.person import Person, gather_person
from mcld.person.reader import PersonReader

__all__ = ["Person", "PersonReader", "gather_person"]
