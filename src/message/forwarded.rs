//! `Forwarded` and `X-Forwarded-*`: who really asked, told to the backend and read from trusted proxies.
