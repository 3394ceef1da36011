"""Abilities as the facts of a target hold them."""

from pydantic import TypeAdapter, ValidationError

from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.ports.targets import Facts

_abilities = TypeAdapter(Abilities)


def abilities_in(facts: Facts) -> Abilities | None:
    """Return the abilities that the facts tell; None if the facts are older than abilities, or damaged."""
    try:
        return _abilities.validate_python({name: facts[name] for name in Abilities.__slots__})
    except (KeyError, TypeError, ValidationError):
        return None
