"""One file per explainer: a case is read, somebody is suspected, evidence is told."""
