-- One row per merged patient record or encounter: the number under which it lives on. Of several merges of one number the latest
-- holds. Merges that go round in a circle end: the smallest number of the circle survives, and `is_cycle` says so.

{{ survivors(ref('int_bed_merges')) }}
