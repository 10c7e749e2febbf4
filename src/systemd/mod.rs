//! systemd: [`supervisor`] reports to it while it runs us as a service; [`mod@unit`] writes the service's unit;
//! [`control`] installs that.

pub mod control;
pub mod supervisor;
pub mod unit;
