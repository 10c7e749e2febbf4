//! systemd, where there is one. [`supervisor`] is what it is told while it runs us as a service. Nobody else knows that
//! we may be one.

pub mod supervisor;
