//! Events as varbinds.
