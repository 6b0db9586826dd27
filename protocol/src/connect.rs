//! CONNECT, the one MQTT packet that a relay reads.
