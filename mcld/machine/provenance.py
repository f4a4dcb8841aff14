"""Where a picture comes from, as its file tells programs and people: text, XMP, a signature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from PIL.PngImagePlugin import iTXt

from mcld.machine.signing import Signer

_IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED = f"{_IPTC}trainedAlgorithmicMedia"
"""IPTC's digital source type of what a trained network made."""
COMPOSITE = f"{_IPTC}compositeWithTrainedAlgorithmicMedia"
"""That of a photo of which such a network made a part."""
XMP_KEYWORD = "XML:com.adobe.xmp"
"""Under which a PNG holds XMP."""


@dataclass(frozen=True)
class Provenance:
    """How a picture was made, as it is written into its file."""

    text: Mapping[str, str]
    """Text metadata as PNG has it: "Software", "Comment", and what else there is."""
    source_type: str = GENERATED
    """IPTC's digital source type, a URI."""
    signer: Signer | None = None
    """Who confirms it; None: nobody."""

    def make_xmp(self) -> bytes:
        """The XMP packet (ISO 16684-1), UTF-8; the same for the same provenance."""
        tool, description = escape(self.text["Software"]), escape(self.text.get("Comment", ""))
        return _PACKET.format(
            tool=tool, description=description, source_type=escape(self.source_type)
        ).encode()

    def make_png_text(self) -> dict[str, str]:
        """The text metadata of a PNG, XMP among it."""
        return {**self.text, XMP_KEYWORD: iTXt(self.make_xmp().decode())}

    def sign(self, file: Path, name: str) -> None:
        """Sign a file that is written, where somebody does; name: how it will be called.

        Raises MCLDError when it cannot be signed.
        """
        if self.signer is not None:
            self.signer.sign(file, name, self.source_type, self.text["Software"])


_PACKET = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">
   <xmp:CreatorTool>{tool}</xmp:CreatorTool>
   <dc:description>
    <rdf:Alt><rdf:li xml:lang="x-default">{description}</rdf:li></rdf:Alt>
   </dc:description>
   <Iptc4xmpExt:DigitalSourceType>{source_type}</Iptc4xmpExt:DigitalSourceType>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""
