//! `GET /api/v1/log/export`.
