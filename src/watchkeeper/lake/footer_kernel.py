"""Compiled writing of what a Parquet file's footer says of its row groups.

There are thousands of them, all alike: what is the same in each of a column's chunks comes ready.
"""

from __future__ import annotations

import numpy as np

from watchkeeper.compiled.jit import kernel
from watchkeeper.lake.pack_kernel import put_varint, put_zigzag

CHUNK_BYTES = 64
"""Of what is said of a chunk, beside what all of its column have in common."""


@kernel
def put_row_groups(alike, begin, chunk, raw, n_rows, group_rows, out):
    """Thrift structs RowGroup, one behind the other; how many bytes they are.

    Column c's chunks have the bytes alike[begin[c]:begin[c + 1]] in common, the first four fields
    of ColumnMetaData. chunk[g] is where group g's chunks begin in the file and where the last one
    ends, raw[g] their sizes unpacked.
    """
    at = 0
    n_columns = raw.shape[1]
    for g in range(len(raw)):
        rows = min(group_rows, n_rows - g * group_rows)
        out[at] = 0x19  # 1: columns, a list of structs
        if n_columns < 15:
            out[at + 1] = n_columns << 4 | 0xC
            at += 2
        else:
            out[at + 1] = 0xFC
            at = put_varint(n_columns, out, at + 2)
        total = np.int64(0)
        for c in range(n_columns):
            out[at] = 0x26  # 2: file_offset
            at = put_zigzag(chunk[g, c], out, at + 1)
            out[at] = 0x1C  # 3: meta_data
            at += 1
            for i in range(begin[c], begin[c + 1]):
                out[at] = alike[i]
                at += 1
            out[at] = 0x16  # 5: num_values
            at = put_zigzag(rows, out, at + 1)
            out[at] = 0x16  # 6: total_uncompressed_size
            at = put_zigzag(raw[g, c], out, at + 1)
            out[at] = 0x16  # 7: total_compressed_size
            at = put_zigzag(chunk[g, c + 1] - chunk[g, c], out, at + 1)
            out[at] = 0x26  # 9: data_page_offset
            at = put_zigzag(chunk[g, c], out, at + 1)
            out[at] = 0
            out[at + 1] = 0
            at += 2
            total += raw[g, c]
        out[at] = 0x16  # 2: total_byte_size
        at = put_zigzag(total, out, at + 1)
        out[at] = 0x16  # 3: num_rows
        at = put_zigzag(rows, out, at + 1)
        out[at] = 0
        at += 1
    return at
