//! Header fields that concern one connection and stop here (RFC 9110 section 7.6.1).
