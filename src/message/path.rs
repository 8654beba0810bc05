//! Request paths: matched as they are written, decoded once and only to find a file.
