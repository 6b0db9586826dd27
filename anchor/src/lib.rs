//! The broker's half: sessions by sid, fencing, grace, admission.
