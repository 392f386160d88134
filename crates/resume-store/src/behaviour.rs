//! What every [`ResumeStore`] must do, one function per promise. [`all`] runs the whole list.
//!
//! A failed promise panics, as a test does.
