//! systemd, where there is one. [`supervisor`] is what it is told while it runs us as a service; [`mod@unit`] is what makes it
//! do so; [`control`] has its tools install that.

pub mod control;
pub mod supervisor;
pub mod unit;
