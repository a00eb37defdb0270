-- One row per HL7 v2 trigger of the chapter on patient administration, and IHE's Z99: what it does to a bed, and what it says about
-- whose number is whose. A trigger of neither effect leaves ledger, identity and findings alone; one that is not listed is a finding.
--
-- `role`, the effect on beds: register and admit begin a presence, move changes the place, update may change it, leave holds the bed,
-- return ends the leave, depart ends the presence, plan announces a discharge, cancel takes the latest event of its kind back,
-- delete takes back the whole visit, merge and reassign say that two numbers are one, swap exchanges two beds, none does nothing.
-- `kind`: what a cancel takes back is the latest event of the same kind. `place_order`: which comes first at the same instant.
-- `identity`: merge makes two numbers one or gives one another number, move hands what hangs on one number to another while both
-- remain, none. `identity_of`: what the numbers are of.
--
-- Triggers marked (2.x) stand in the standard for older versions alone. A56 to A59 were never given a meaning, and A19 is a question.

select
    event_type,
    event_name,
    role,
    kind,
    cast(place_order as integer) as place_order,
    identity,
    cast(identity_of as varchar) as identity_of
from (
    values
        ('A01', 'admit', 'admit', 'admission', 1, 'none', null),
        ('A02', 'transfer', 'move', 'transfer', 2, 'none', null),
        ('A03', 'discharge', 'depart', 'discharge', 5, 'none', null),
        ('A04', 'register', 'register', 'admission', 0, 'none', null),
        ('A05', 'pre-admit', 'none', 'preadmission', 9, 'none', null),
        ('A06', 'outpatient to inpatient', 'admit', 'class', 1, 'none', null),
        ('A07', 'inpatient to outpatient', 'admit', 'class', 1, 'none', null),
        -- An update is no movement by the standard; sites that move patients by it say so.
        ('A08', 'update', '{{ 'update' if var('hl7_update_moves') else 'none' }}', 'update', 9, 'none', null),
        -- Departing and arriving track where a patient is; the bed stays the one assigned.
        ('A09', 'departing', 'none', 'departing', 9, 'none', null),
        ('A10', 'arriving', 'none', 'arriving', 9, 'none', null),
        ('A11', 'cancel admit', 'cancel', 'admission', 9, 'none', null),
        ('A12', 'cancel transfer', 'cancel', 'transfer', 9, 'none', null),
        ('A13', 'cancel discharge', 'cancel', 'discharge', 9, 'none', null),
        ('A14', 'pending admit', 'none', 'pending admission', 9, 'none', null),
        ('A15', 'pending transfer', 'none', 'pending transfer', 9, 'none', null),
        ('A16', 'pending discharge', 'plan', 'pending discharge', 9, 'none', null),
        ('A17', 'swap', 'swap', 'swap', 2, 'none', null),
        ('A18', 'merge patient and account (2.x)', 'merge', 'merge', 9, 'merge', 'patient and account'),
        ('A19', 'patient query', 'none', 'query', 9, 'none', null),
        -- The state of a bed without a patient: cleaning and closing are not told by patients' events.
        ('A20', 'bed status update', 'none', 'bed status', 9, 'none', null),
        ('A21', 'leave of absence', 'leave', 'leave', 3, 'none', null),
        ('A22', 'return from leave', 'return', 'return', 4, 'none', null),
        ('A23', 'delete visit', 'delete', 'delete', 9, 'none', null),
        -- A link leaves two records two; whether they are one person is for a person to decide.
        ('A24', 'link', 'none', 'link', 9, 'none', null),
        ('A25', 'cancel pending discharge', 'cancel', 'pending discharge', 9, 'none', null),
        ('A26', 'cancel pending transfer', 'none', 'pending transfer', 9, 'none', null),
        ('A27', 'cancel pending admit', 'none', 'pending admission', 9, 'none', null),
        ('A28', 'add person', 'none', 'person', 9, 'none', null),
        ('A29', 'delete person', 'none', 'person', 9, 'none', null),
        ('A30', 'merge person (2.x)', 'merge', 'merge', 9, 'merge', 'patient'),
        ('A31', 'update person', 'none', 'person', 9, 'none', null),
        ('A32', 'cancel arriving', 'none', 'arriving', 9, 'none', null),
        ('A33', 'cancel departing', 'none', 'departing', 9, 'none', null),
        ('A34', 'merge patient, id alone (2.x)', 'merge', 'merge', 9, 'merge', 'patient'),
        ('A35', 'merge account, number alone (2.x)', 'merge', 'merge', 9, 'merge', 'account'),
        ('A36', 'merge patient and account (2.x)', 'merge', 'merge', 9, 'merge', 'patient and account'),
        ('A37', 'unlink', 'none', 'link', 9, 'none', null),
        ('A38', 'cancel pre-admit', 'none', 'preadmission', 9, 'none', null),
        ('A39', 'merge person (2.x)', 'merge', 'merge', 9, 'merge', 'patient'),
        ('A40', 'merge patient', 'merge', 'merge', 9, 'merge', 'patient'),
        ('A41', 'merge account', 'merge', 'merge', 9, 'merge', 'account'),
        ('A42', 'merge visit', 'merge', 'merge', 9, 'merge', 'visit'),
        ('A43', 'move patient', 'merge', 'merge', 9, 'move', 'patient'),
        ('A44', 'move account', 'reassign', 'reassign', 9, 'move', 'account'),
        ('A45', 'move visit', 'reassign', 'reassign', 9, 'move', 'visit'),
        ('A46', 'change patient id (2.x)', 'merge', 'merge', 9, 'merge', 'patient'),
        ('A47', 'change patient id', 'merge', 'merge', 9, 'merge', 'patient'),
        -- Alternate ids (PID-4, PV1-50) are not those by which patients and stays are known here.
        ('A48', 'change alternate patient id (2.x)', 'none', 'alternate id', 9, 'none', null),
        ('A49', 'change account number', 'merge', 'merge', 9, 'merge', 'account'),
        ('A50', 'change visit number', 'merge', 'merge', 9, 'merge', 'visit'),
        ('A51', 'change alternate visit id', 'none', 'alternate id', 9, 'none', null),
        ('A52', 'cancel leave', 'cancel', 'leave', 9, 'none', null),
        ('A53', 'cancel return', 'cancel', 'return', 9, 'none', null),
        ('A54', 'change attending doctor', 'none', 'doctor', 9, 'none', null),
        ('A55', 'cancel change of attending doctor', 'none', 'doctor', 9, 'none', null),
        ('A60', 'update allergies', 'none', 'allergies', 9, 'none', null),
        ('A61', 'change consulting doctor', 'none', 'doctor', 9, 'none', null),
        ('A62', 'cancel change of consulting doctor', 'none', 'doctor', 9, 'none', null),
        -- IHE PAM: what it updates is the movement that ZBE names, which counts by the trigger in ZBE-6.
        ('Z99', 'update movement', 'none', 'movement', 9, 'none', null)
) as triggers (event_type, event_name, role, kind, place_order, identity, identity_of)
