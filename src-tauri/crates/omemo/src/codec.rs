//! Compact binary encoding of records.
