package registry

import "slices"

// deleteSubject hides all versions of a subject, or removes hidden ones for good.
func (s *state) deleteSubject(name string, permanent bool) ([]int, error) {
	old := s.subjects[name]
	if old == nil || len(old.Versions) == 0 {
		return nil, subjectNotFound(name)
	}
	live := s.live(name)
	switch {
	case permanent && len(live) > 0:
		return nil, errorf(codeSubjectNotDeleted, "Subject '%s' was not deleted first before being permanently deleted", name)
	case !permanent && len(live) == 0:
		return nil, errorf(codeSubjectDeleted, "Subject '%s' was soft deleted.Set permanent=true to delete permanently", name)
	}
	for _, v := range old.Versions {
		if err := s.unreferenced(name, v.Version); err != nil {
			return nil, err
		}
	}
	sub := s.mutable(name)
	var numbers []int
	for i, v := range sub.Versions {
		if permanent || !v.Deleted {
			numbers = append(numbers, v.Version)
		}
		sub.Versions[i].Deleted = true
	}
	if permanent {
		sub.Versions, sub.Level, sub.Mode = nil, "", "" // Last stays: a number is never given twice
		s.sweep()
	}
	return numbers, nil
}

func (s *state) deleteVersion(name string, number int, permanent bool) (int, error) {
	found, err := s.version(name, number, true)
	if err != nil {
		return 0, err
	}
	if number == latest && !permanent {
		if found, err = s.version(name, number, false); err != nil {
			return 0, err
		}
	}
	if err := s.unreferenced(name, found.Version); err != nil {
		return 0, err
	}
	sub := s.mutable(name)
	i := slices.IndexFunc(sub.Versions, func(v version) bool { return v.Version == found.Version })
	switch deleted := sub.Versions[i].Deleted; {
	case permanent && !deleted:
		return 0, errorf(codeVersionNotDeleted, "Subject '%s' Version %d was not deleted first before being permanently deleted", name, found.Version)
	case !permanent && deleted:
		return 0, errorf(codeVersionDeleted, "Subject '%s' Version %d was soft deleted.Set permanent=true to delete permanently", name, found.Version)
	case permanent:
		sub.Versions = slices.Delete(sub.Versions, i, i+1)
		s.sweep()
	default:
		sub.Versions[i].Deleted = true
	}
	return found.Version, nil
}

func (s *state) unreferenced(name string, number int) error {
	if ids := s.referencing(name, number); len(ids) > 0 {
		return errorf(codeReferenceExists, "One or more references exist to the schema {subject=%s,version=%d}: schemas %v", name, number, ids)
	}
	return nil
}

// sweep removes schemas that no subject has any more. Their ids are not given again.
func (s *state) sweep() {
	used := map[int]bool{}
	for _, sub := range s.subjects {
		for _, v := range sub.Versions {
			used[v.ID] = true
		}
	}
	for k, id := range s.byKey {
		if !used[id] {
			delete(s.byKey, k)
			delete(s.byID, id)
		}
	}
}
