//! The whole line on a computer with systemd.
