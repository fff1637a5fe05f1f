"""All deliberate faults."""

from typing import Final

from tests.bite.faults_at_the_edges import AT_THE_EDGES
from tests.bite.faults_of_dead_letters import OF_DEAD_LETTERS
from tests.bite.faults_of_doors import OF_DOORS
from tests.bite.faults_of_hindsight import OF_HINDSIGHT
from tests.bite.faults_of_ids import OF_IDS
from tests.bite.faults_of_input import OF_INPUT
from tests.bite.faults_of_judgement import OF_JUDGEMENT
from tests.bite.faults_of_limits import OF_LIMITS
from tests.bite.faults_of_notes import OF_NOTES
from tests.bite.faults_of_proof import OF_PROOF
from tests.bite.faults_of_reading import OF_READING
from tests.bite.faults_of_secrets import OF_SECRETS
from tests.bite.faults_of_sight import OF_SIGHT
from tests.bite.faults_of_telling import OF_TELLING
from tests.bite.faults_of_the_page import OF_THE_PAGE
from tests.bite.faults_of_the_way_back import OF_THE_WAY_BACK
from tests.bite.faults_of_time import OF_TIME
from tests.bite.faults_of_trust import OF_TRUST
from tests.bite.faults_of_vault import OF_VAULT
from tests.bite.faults_of_work import OF_WORK

FAULTS: Final = (
    *OF_WORK,
    *OF_JUDGEMENT,
    *AT_THE_EDGES,
    *OF_TRUST,
    *OF_LIMITS,
    *OF_NOTES,
    *OF_PROOF,
    *OF_VAULT,
    *OF_INPUT,
    *OF_IDS,
    *OF_TIME,
    *OF_TELLING,
    *OF_HINDSIGHT,
    *OF_DOORS,
    *OF_DEAD_LETTERS,
    *OF_READING,
    *OF_SIGHT,
    *OF_THE_PAGE,
    *OF_THE_WAY_BACK,
    *OF_SECRETS,
)
