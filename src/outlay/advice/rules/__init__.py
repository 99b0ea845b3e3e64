"""The rules of `outlay check`, each a pure function of a flow as it stands."""
