package acl

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Missing returns those rights of f that the cluster does not grant by an entry of the same words. It needs DESCRIBE on the
// cluster.
func Missing(ctx context.Context, client kmsg.Requestor, f File) ([]Right, error) {
	request := kmsg.NewPtrDescribeACLsRequest()
	request.ResourceType = kmsg.ACLResourceTypeAny
	request.ResourcePatternType = kmsg.ACLResourcePatternTypeAny
	request.Principal = kmsg.StringPtr(f.Principal)
	request.Operation = kmsg.ACLOperationAny
	request.PermissionType = kmsg.ACLPermissionTypeAllow
	response, err := request.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(response.ErrorCode)
	}
	if err != nil {
		return nil, fmt.Errorf("rights of %s: %w", f.Principal, err)
	}
	have := map[Right]bool{}
	for _, resource := range response.Resources {
		for _, one := range resource.ACLs {
			if one.Host == "*" {
				have[Right{
					Operation: one.Operation, Resource: resource.ResourceType, Name: resource.ResourceName,
					Prefix: resource.ResourcePatternType == kmsg.ACLResourcePatternTypePrefixed,
				}] = true
			}
		}
	}
	var missing []Right
	for _, r := range f.Rights {
		bare := r
		bare.Why = ""
		if !have[bare] {
			missing = append(missing, r)
		}
	}
	return missing, nil
}

// Grant gives a principal rights, from any host. It goes on after one that fails and returns all failures. It needs ALTER
// on the cluster.
func Grant(ctx context.Context, client kmsg.Requestor, principal string, rights []Right) error {
	if len(rights) == 0 {
		return nil
	}
	request := kmsg.NewPtrCreateACLsRequest()
	for _, r := range rights {
		one := kmsg.NewCreateACLsRequestCreation()
		one.ResourceType, one.ResourceName, one.ResourcePatternType = r.Resource, r.Name, kmsg.ACLResourcePatternTypeLiteral
		if r.Prefix {
			one.ResourcePatternType = kmsg.ACLResourcePatternTypePrefixed
		}
		one.Principal, one.Host, one.Operation, one.PermissionType = principal, "*", r.Operation, kmsg.ACLPermissionTypeAllow
		request.Creations = append(request.Creations, one)
	}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("grant rights to %s: %w", principal, err)
	}
	var errs []error
	for i, result := range response.Results {
		if err := kerr.ErrorForCode(result.ErrorCode); err != nil && i < len(rights) {
			errs = append(errs, fmt.Errorf("grant %s to %s: %w", rights[i], principal, err))
		}
	}
	return errors.Join(errs...)
}
