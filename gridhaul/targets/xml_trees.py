"""XML of targets as trees, without document type declarations: no target's protocol needs one."""

from xml.etree import ElementTree as ET


def refuse_doctype() -> None:
    """Raise ValueError. A document type declares entities, which can make a short document a long one."""
    raise ValueError("the document declares its type")


class _Tree(ET.TreeBuilder):
    def doctype(self, *_: str | None) -> None:
        refuse_doctype()


def tree_parser() -> ET.XMLParser:
    """Return a parser that makes a tree. Raises ValueError from its methods if the document declares its type."""
    return ET.XMLParser(target=_Tree())  # noqa: S314 - the parser takes no declaration of an entity
