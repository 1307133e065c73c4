//! The protobuf messages on the wire, bounded.
