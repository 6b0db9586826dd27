//! The origin relay: routes by ring and home, splices, drains.
