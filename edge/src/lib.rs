//! The edge relay: client connections, choice of origin, moves.
