//! A simulated MQTT broker with the broker's half of the protocol inside.
