"""The parts of the zip format that checkpoints use: records as they are, without compression.

Source: PKWARE's APPNOTE 6.3; PyTorch's use of it: every record's bytes begin at a multiple of 64, reached by
an extra field "FB", and sizes follow the bytes in a descriptor.
"""

from __future__ import annotations

import struct

LOCAL = struct.Struct("<4sHHHHHIIIHH")
CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
END = struct.Struct("<4sHHHHIIH")
END64 = struct.Struct("<4sQHHIIQQQQ")
LOCATOR64 = struct.Struct("<4sIQI")
EXTRA = struct.Struct("<HH")
DESCRIPTOR = struct.Struct("<4sIII")
DESCRIPTOR64 = struct.Struct("<4sIQQ")

LOCAL_MARK = b"PK\x03\x04"
CENTRAL_MARK = b"PK\x01\x02"
END_MARK = b"PK\x05\x06"
END64_MARK = b"PK\x06\x06"
LOCATOR64_MARK = b"PK\x06\x07"
DESCRIPTOR_MARK = b"PK\x07\x08"

ZIP64_FIELD = 1
PADDING_FIELD = int.from_bytes(b"FB", "little")

STORED = 0
ENCRYPTED = 1
DESCRIPTOR_FOLLOWS = 1 << 3
UTF8_NAMES = 1 << 11

# A number that does not fit 32 or 16 bits is written as this, and in full in the zip64 field.
WIDE = 0xFFFFFFFF
WIDE_COUNT = 0xFFFF
