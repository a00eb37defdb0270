-- What each agreement and disagreement is worth: the binary logarithm of how often records of one person show it to how often
-- records of two persons do (Fellegi and Sunter, A Theory for Record Linkage, JASA 64, 1969). The frequencies are this
-- project's own estimates for registrations in hospitals, not published values; they are changed here and nowhere else.

with frequencies (field, level, if_same, if_different, reason) as (

    values
        ('national_id', 'equal', 0.97, 0.0000005, 'national id equal'),
        ('national_id', 'similar', 0.02, 0.00001, 'national id nearly equal'),
        ('national_id', 'different', 0.01, 0.99, 'national id differs'),
        ('record_number', 'equal', 0.9, 0.000001, 'record number of the hospital equal'),
        ('family_name', 'equal', 0.9, 0.01, 'family name equal'),
        ('family_name', 'swapped', 0.005, 0.00005, 'given and family name swapped'),
        ('family_name', 'similar', 0.04, 0.005, 'family name similar'),
        ('family_name', 'sound', 0.01, 0.01, 'family name sounds alike'),
        ('family_name', 'different', 0.045, 0.97, 'family name differs'),
        ('given_name', 'equal', 0.9, 0.02, 'given name equal'),
        ('given_name', 'swapped', 0.005, 0.00005, 'family and given name swapped'),
        ('given_name', 'similar', 0.05, 0.01, 'given name similar'),
        ('given_name', 'short', 0.025, 0.005, 'given name shortened'),
        ('given_name', 'different', 0.02, 0.965, 'given name differs'),
        ('birth_date', 'equal', 0.95, 0.00003, 'birth date equal'),
        ('birth_date', 'swapped', 0.01, 0.00001, 'day and month of birth swapped'),
        ('birth_date', 'similar', 0.02, 0.0007, 'birth date differs in one place'),
        ('birth_date', 'different', 0.02, 0.999, 'birth date differs'),
        ('phone', 'equal', 0.6, 0.001, 'phone equal'),
        ('phone', 'household', 0.01, 0.01, 'phone equal, as in a household'),
        ('phone', 'similar', 0.03, 0.0005, 'phone differs in one place'),
        ('phone', 'different', 0.36, 0.99, 'phone differs'),
        ('postal_code', 'equal', 0.7, 0.02, 'postal code equal'),
        ('postal_code', 'household', 0.01, 0.01, 'postal code equal, as in a household'),
        ('postal_code', 'different', 0.3, 0.97, 'postal code differs'),
        ('gender', 'equal', 0.98, 0.5, 'gender equal'),
        ('gender', 'different', 0.02, 0.5, 'gender differs')

)

select
    field,
    level,
    cast(if_same as double) as if_same,
    cast(if_different as double) as if_different,
    cast(log2(cast(if_same as double) / cast(if_different as double)) as decimal(9, 3)) as weight,
    reason
from frequencies
