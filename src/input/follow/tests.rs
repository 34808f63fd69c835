//! Random histories of files, followed with a simulated clock in a real folder.
