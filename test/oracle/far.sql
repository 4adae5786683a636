-- Far: the database that the nasty one reaches over the network. What is in it must not change either.

CREATE TABLE far (id integer PRIMARY KEY, a text);
INSERT INTO far SELECT i, 'far ' || i FROM generate_series(1, 20) AS i;
CREATE FUNCTION far_wipe() RETURNS integer LANGUAGE sql AS 'DELETE FROM public.far WHERE id = 1 RETURNING id';
CREATE VIEW far_view AS SELECT far_wipe() AS gone;
