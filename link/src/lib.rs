//! What runs between two tiers: trunks, tunnels and the loop that drives a session.
