"""How good a search is on judged queries, stage by stage."""
