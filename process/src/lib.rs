//! What every role process is: phases, signals, listeners, configuration, logs, metrics, admin.
